"""Training of an encoder on a corpus of labelled pictures, before it sees any video: `harness pretrain`."""
