"""The least that Flask can do: the floor under every route of ours."""

from flask import Flask

app = Flask(__name__)


@app.route("/", methods=["GET", "POST"])
def nothing() -> str:
    return ""
