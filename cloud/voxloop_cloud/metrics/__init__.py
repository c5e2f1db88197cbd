"""What the server measures of itself and of every segment, stage by stage, and shows to Prometheus."""
