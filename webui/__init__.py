"""The front door: a Flask-AppBuilder app with pages for people and a JSON API for programs."""
