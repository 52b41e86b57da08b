"""Results of experiments, and the report of ``semflash evaluate --compare`` that shows them with bundles."""
