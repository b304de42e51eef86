"""What GAS adds to Airflow: how its tasks reach AWS, and the plugin itself."""
