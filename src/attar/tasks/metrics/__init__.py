"""The metrics of all tasks, one file for each kind of output; `attar.tasks.metrics.metric` says what a metric is."""
