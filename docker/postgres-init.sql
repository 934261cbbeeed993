-- Prefect keeps its own tables beside those of MLflow.
CREATE DATABASE prefect ENCODING 'UTF8' TEMPLATE template0;
