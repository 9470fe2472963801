"""Where the figures of trainings and runs go besides their folder: TensorBoard, MLflow."""
