"""The service: bundles from `models`, served as a page for people and a REST API for programs."""
