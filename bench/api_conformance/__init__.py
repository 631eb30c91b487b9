"""How much of the OpenAI API's own specification this server's openapi.json has, property by property (scripts/api-conformance)."""
