"""All of MLflow: runs, versions, promotion, the ledger of test-set reuse."""
