"""What both ends need in order to be watched: how a metric is declared, kept, and shown to Prometheus."""
