"""Commands on finished runs: comparison, ensembles, reproduction, rescoring."""
