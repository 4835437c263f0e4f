#!/usr/bin/env bash
# Flask's PERMANENT_SESSION_LIFETIME ends the sessions that are not permanent, in the midst of use; the permanent ones go on.
#
# With: python3-flask 2.2.2 and python3-itsdangerous 2.1.2 of Debian 12; 2026-11-29
# Guess: It is the life of sessions with session.permanent = True, counted from when they begin; the others last until the browser closes.
# Happens: The age of the signature is checked against it for both. A permanent session is signed anew with each response, so the life counts from the
#   last request; any other one is signed when it changes, so it ends that long after its last change, however much it is read.
# Seen:
#   permanent = False: cookie without Expires; a request each second for 9 seconds: bob, then nobody
#   permanent = True: cookie with Expires; a request each second for 9 seconds: bob
# Matters: With the default, 31 days, whoever keeps a browser open is logged out once a month, at a random click. Who reads such cookies elsewhere has to know
#   that the time in them is that of the last change, and the end stands in the app's settings.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

deb_get "python3-flask=2.2.2-*" "python3-werkzeug=2.2.2-*" "python3-itsdangerous=2.1.2-*" "python3-jinja2=3.1.2-*"
cat >main.py <<'PY'
import datetime, time
from flask import Flask, request, session

app = Flask('app')
app.secret_key = 'for this script only'
app.permanent_session_lifetime = datetime.timedelta(seconds=6)

@app.route('/login/<permanent>')
def login(permanent):
    session['user'] = 'bob'
    session.permanent = permanent == 'True'
    return ''

@app.route('/')
def who():
    return session.get('user', 'nobody')

browsers = {}
for permanent in (False, True):
    browser = browsers[permanent] = app.test_client()
    answer = browser.get(f'/login/{permanent}')
    browser.expires = 'Expires=' in answer.headers['Set-Cookie']
    browser.seen = []
for _ in range(9):
    time.sleep(1)
    for browser in browsers.values():
        name = browser.get('/').text
        if name not in browser.seen:
            browser.seen.append(name)
for permanent, browser in browsers.items():
    print(f"permanent = {permanent}: cookie {'with' if browser.expires else 'without'} Expires; "
          f"a request each second for 9 seconds: {', then '.join(browser.seen)}")
PY
PYTHONPATH=$work/root/usr/lib/python3/dist-packages /usr/bin/python3 main.py | seen
