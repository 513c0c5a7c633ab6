"""The app that gunicorn serves: `gunicorn -c functions/gunicorn.conf.py functions.wsgi:app`."""

from functions.app import create_app
from functions.runtime.settings import read_settings

app = create_app(read_settings())
