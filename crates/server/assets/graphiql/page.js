// Sets GraphiQL up for one schema: the token bar, the fetcher over HTTP, and subscriptions over graphql-transport-ws.
(function () {
  "use strict";
  const endpoint = document.documentElement.dataset.endpoint;
  const bar = document.getElementById("access");
  const input = document.getElementById("token");
  const state = document.getElementById("access-state");
  const root = ReactDOM.createRoot(document.getElementById("graphiql"));
  const first = [
    "# Every request needs an access token: paste it above, or set the header",
    "# authorization: Bearer <token> in the Headers tab below.",
    "",
    endpoint === "/graphql" ? "query EventTypes {\n  eventType {\n    getMany {\n      concern\n      event\n      description\n    }\n  }\n}" : "query Types {\n  __schema {\n    types {\n      name\n    }\n  }\n}",
    "",
  ].join("\n");

  // The token lives as long as the tab.
  let token = sessionStorage.getItem("hookgraph:token") || "";
  input.value = token;

  function authorization(headers) {
    const own = Object.entries(headers || {}).find(([name]) => name.toLowerCase() === "authorization");
    if (own) return own[1];
    return token ? "Bearer " + token : undefined;
  }

  async function overHttp(parameters, options) {
    const headers = Object.assign({}, options && options.headers);
    for (const name of Object.keys(headers)) if (name.toLowerCase() === "authorization") delete headers[name];
    const shown = authorization(options && options.headers);
    if (shown) headers.authorization = shown;
    headers["content-type"] = "application/json";
    headers.accept = "application/graphql-response+json, application/json;q=0.9";
    const answer = await fetch(endpoint, { method: "POST", headers, body: JSON.stringify(parameters) });
    state.textContent = answer.status === 401 ? (shown ? "This token is not accepted." : "Paste an access token first.") : "";
    return answer.json();
  }

  function overWebSocket(parameters, options) {
    const client = graphqlWs.createClient({
      url: location.origin.replace(/^http/, "ws") + endpoint,
      connectionParams: { authorization: authorization(options && options.headers) },
    });
    const values = client.iterate(parameters);
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => values.next(),
      throw: (error) => values.throw(error),
      return: async () => {
        await client.dispose();
        return values.return();
      },
    };
  }

  function isSubscription(parameters, options) {
    const document = options && options.documentAST;
    const operations = document ? document.definitions.filter((one) => one.kind === "OperationDefinition") : [];
    const named = operations.find((one) => one.name && one.name.value === parameters.operationName);
    const chosen = named || operations[0];
    return Boolean(chosen && chosen.operation === "subscription");
  }

  function fetcher(parameters, options) {
    return isSubscription(parameters, options) ? overWebSocket(parameters, options) : overHttp(parameters, options);
  }

  function show() {
    // A new key makes GraphiQL ask for the schema again.
    root.render(
      React.createElement(GraphiQL, {
        key: token,
        fetcher,
        defaultQuery: first,
        defaultEditorToolsVisibility: "headers",
        isHeadersEditorEnabled: true,
        shouldPersistHeaders: false,
      }),
    );
  }

  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    token = input.value.trim();
    sessionStorage.setItem("hookgraph:token", token);
    show();
  });

  show();
})();
