-- PostgreSQL's image runs this once, when it makes its data folder. Airflow's database is the one that the image makes.
CREATE DATABASE gas_web;
