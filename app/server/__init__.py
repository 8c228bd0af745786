"""The process: its workers, protocol, logs and its end."""
