"""Prints the token that azure-identity gets. Usage: azure_identity_token.py SCOPE CLASS KEYWORDS-AS-JSON"""

import json
import sys

import azure.identity

scope, name, keywords = sys.argv[1:]
print(getattr(azure.identity, name)(**json.loads(keywords)).get_token(scope).token)
