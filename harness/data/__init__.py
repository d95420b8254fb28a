"""Reading and making data: folders, frames, sound, boxes, clips, the demo set."""
