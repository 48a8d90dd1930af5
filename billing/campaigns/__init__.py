"""Campaigns at work: their audiences, runs over everybody, milestones, and new subscribers."""
