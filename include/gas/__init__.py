"""GAS: a self-hosted Genomics Annotation Service.

Pure Python and boto3; imports neither Airflow nor Flask, so that the engine, the record and the command line work
without either. The DAGs, the Airflow plugin and the web app import this package, never the other way round.
"""
