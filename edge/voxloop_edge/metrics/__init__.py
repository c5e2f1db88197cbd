"""What a device measures of itself and of every segment, stage by stage, and shows to Prometheus."""
