"""Tables as HTML, LaTeX, Markdown, CSV."""
