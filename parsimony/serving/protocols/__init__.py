"""What clients send and expect: the Open Inference Protocol, MLflow's and SageMaker's invocations, text-embeddings-inference."""
