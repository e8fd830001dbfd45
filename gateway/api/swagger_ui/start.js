SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  // The validator is a service of others; the document does not leave this page.
  validatorUrl: null,
});
