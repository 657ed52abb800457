"""Stock OAuth clients at a gateway: clients.py BASE CA CLIENT_ID INTROSPECTING_ID

The secrets come by the environment: CLIENT_SECRET, INTROSPECTING_SECRET. Prints one JSON object.
"""
import json
import os
import sys

from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session as RequestsOAuthlib
import requests

base, ca, client_id, introspecting_id = sys.argv[1:]
secret, introspecting_secret = os.environ["CLIENT_SECRET"], os.environ["INTROSPECTING_SECRET"]
said = {}

# The addresses come from the metadata, as RFC 8414 has it.
metadata = requests.get(base + "/.well-known/oauth-authorization-server", verify=ca).json()
said["issuer"] = metadata["issuer"]

for method in metadata["token_endpoint_auth_methods_supported"]:
    with Authlib(client_id, secret, scope="infer:iris", token_endpoint_auth_method=method) as client:
        client.verify = ca
        token = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
        said["authlib " + method] = [token["token_type"], token["scope"], token["expires_in"]]
    with Authlib(introspecting_id, introspecting_secret, token_endpoint_auth_method=method) as gateway:
        gateway.verify = ca
        found = gateway.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
        said["introspected " + method] = [found["active"], found["client_id"], found["iss"]]
    with Authlib(client_id, secret, token_endpoint_auth_method=method,
                 revocation_endpoint_auth_method=method) as client:
        client.verify = ca
        said["revoked " + method] = client.revoke_token(
            metadata["revocation_endpoint"], token=token["access_token"]).status_code
    with Authlib(introspecting_id, introspecting_secret, token_endpoint_auth_method=method) as gateway:
        gateway.verify = ca
        found = gateway.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
        said["gone " + method] = found

for in_body in (False, True):
    client = RequestsOAuthlib(client=BackendApplicationClient(client_id=client_id, scope=["infer:*"]))
    token = client.fetch_token(metadata["token_endpoint"], client_id=client_id, client_secret=secret,
                               include_client_id=in_body, verify=ca)
    said["requests-oauthlib %s" % in_body] = [token["token_type"], token["scope"], token["expires_in"]]

try:
    client = RequestsOAuthlib(client=BackendApplicationClient(client_id=client_id))
    client.fetch_token(metadata["token_endpoint"], client_id=client_id, client_secret="wrong", verify=ca)
except OAuth2Error as error:
    said["wrong secret"] = error.error
try:
    client = RequestsOAuthlib(client=BackendApplicationClient(client_id=client_id, scope=["admin"]))
    client.fetch_token(metadata["token_endpoint"], client_id=client_id, client_secret=secret, verify=ca)
except OAuth2Error as error:
    said["wider scope"] = error.error

print(json.dumps(said, sort_keys=True))
