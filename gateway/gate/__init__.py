"""The metrics gate: does what Prometheus saw keep the objectives?"""
