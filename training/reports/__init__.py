"""What a run or an evaluation looks like: page, charts, model card."""
