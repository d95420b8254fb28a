"""Latent trajectories of the demo set, as its equations draw them."""

from __future__ import annotations

from harness.data.synthetic import STANDARD_FRAMES, STANDARD_VIDEOS
from harness.data.synthetic.latents import SLOTS, LatentTrajectory, draw_story
from harness.data.synthetic.video_plans import plan_videos

CRUMB = (4, 2, 2)
FRAMES = 24
ALL = dict.fromkeys(SLOTS, 1.0)


def stories(
    seed: int = 0,
    videos: tuple[int, int, int] = STANDARD_VIDEOS,
    frames: int = STANDARD_FRAMES,
    **shares: float,
) -> list[LatentTrajectory]:
    return [draw_story(plan, seed, ALL | shares) for plan in plan_videos(videos, frames)]
