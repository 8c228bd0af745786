"""What every request passes: its log line and limits."""
