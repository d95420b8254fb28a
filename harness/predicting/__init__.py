"""Prediction of a user's own videos, images, sound files and cameras by a trained run or a ready model."""
