"""FAB's configuration in Airflow's API server, where ``[fab] config_file`` names this file."""

from gas.settings import Settings
from gas_airflow.listed import configuration
from gas_airflow.sign_in import GlobusSecurityManager

globals().update(configuration(Settings.from_environment(), manager=GlobusSecurityManager))
