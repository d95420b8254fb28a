#!/usr/bin/env bash
# Build the wheel, install it where there is no checkout and no development package, and use it there.
set -euo pipefail
cd "$(dirname "$0")/.."
constraints="$PWD/constraints.txt"
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT

uv build --quiet --wheel --out-dir "$away/wheel"
uv venv --quiet "$away/venv"
uv pip install --quiet --python "$away/venv" --constraints "$constraints" "$away"/wheel/*.whl

export PATH="$away/venv/bin:$PATH" ABAW_ZOO_CACHE="$away/cache"
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT PYTHONPATH
cd "$away"
python -c "import harness, sys; sys.exit(not harness.__file__.startswith('$away'))"
harness env
harness --version
harness list > list.txt && grep -q lite0 list.txt
harness check --encoders face,audio
harness plugin new my-encoder --kind encoder --single-file
harness plugin new my-package --kind fusion
harness data demo demo --videos 4,2,2 --frames 40
harness run --data demo --encoders face,audio,face.b=my-encoder --plugin my_encoder.py --name small --set train.epochs=2
test -s runs/small/submission/predictions.txt
test -s runs/small/report.html
harness report runs/small
echo "the wheel works on its own"
