"""Starts everything: `python session_web_server.py --host 0.0.0.0 --port 5000`."""

import argparse
import sys

from lan_session_manager.cli import add_serve_options, run_serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the local network.")
    add_serve_options(parser)
    sys.exit(run_serve(parser.parse_args()))
