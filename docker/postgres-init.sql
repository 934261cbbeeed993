-- Prefect keeps its own tables beside those of MLflow.
CREATE DATABASE prefect;
