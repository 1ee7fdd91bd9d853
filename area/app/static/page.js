"use strict";

(() => {
  const TOKEN = "area:token";
  const EMAIL = "area:email";
  const endpoint = "/graphql";
  const byId = (id) => document.getElementById(id);
  const token = () => localStorage.getItem(TOKEN);

  // One WebSocket for all subscriptions; a new sign-in needs a new one, since the token travels at its start.
  let client = null;
  const socket = (headers) => {
    client ??= window.graphqlWs.createClient({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${endpoint}`,
      connectionParams: () => authorization(headers),
      retryAttempts: 20,
      shouldRetry: () => true,
    });
    return client;
  };

  const authorization = (headers) => {
    const given = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === "authorization");
    const value = given ? given[1] : token() && `Bearer ${token()}`;
    return value ? { Authorization: value } : {};
  };

  const post = async (params, headers) => {
    const answer = await fetch(endpoint, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Accept: "application/graphql-response+json, application/json",
        ...headers,
        ...authorization(headers),
      },
      body: JSON.stringify(params),
    });
    return answer.json();
  };

  // Which kind of operation is meant: the named one, or the only one.
  const isSubscription = (params, document) => {
    const operations = (document?.definitions ?? []).filter((part) => part.kind === "OperationDefinition");
    const chosen = operations.find((part) => part.name?.value === params.operationName) ?? operations[0];
    return chosen?.operation === "subscription";
  };

  const fetcher = (params, options) =>
    isSubscription(params, options?.documentAST)
      ? { subscribe: (sink) => ({ unsubscribe: socket(options?.headers).subscribe(params, sink) }) }
      : post(params, options?.headers);

  const show = (message) => {
    const signedIn = Boolean(token());
    byId("who").textContent = message ?? (signedIn ? `Signed in as ${localStorage.getItem(EMAIL)}` : "Not signed in");
    byId("sign-in").hidden = signedIn;
    byId("demo").hidden = signedIn || document.documentElement.dataset.dev !== "true";
    byId("sign-out").hidden = !signedIn;
  };

  const remember = (email, value) => {
    if (value) {
      localStorage.setItem(TOKEN, value);
      localStorage.setItem(EMAIL, email);
    } else {
      localStorage.removeItem(TOKEN);
      localStorage.removeItem(EMAIL);
    }
    client?.dispose();
    client = null;
    show();
    render();
  };

  byId("sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = Object.fromEntries(new FormData(event.target));
    const query = `mutation($input: SignInInput!) { signIn(input: $input) { session { accessToken } errors { message } } }`;
    try {
      const { data, errors } = await post({ query, variables: { input } });
      const problem = errors?.[0] ?? data?.signIn?.errors?.[0];
      if (problem) show(problem.message);
      else remember(input.email, data.signIn.session.accessToken);
    } catch {
      show("The API does not answer; is it running?");
    }
  });

  byId("demo").addEventListener("click", async () => {
    try {
      const answer = await fetch("/demo/session", { method: "POST", headers: { "X-Area-Demo": "1" } });
      const body = await answer.json();
      if (answer.ok) remember(body.email, body.accessToken);
      else show(body.detail);
    } catch {
      show("The API does not answer; is it running?");
    }
  });

  byId("sign-out").addEventListener("click", async () => {
    const query = `mutation { signOut(input: {}) { errors { message } } }`;
    // Signed out here in any case: a token that the API refuses is over already.
    await post({ query }).catch(() => null);
    remember(null, null);
  });

  // A new sign-in may change what introspection answers, so the schema is asked for again: a new key, a new start.
  function render() {
    const props = {
      key: token() ?? "nobody",
      fetcher,
      defaultTabs: window.AREA_OPERATIONS,
      defaultEditorToolsVisibility: true,
      shouldPersistHeaders: false,
    };
    window.ReactDOM.render(window.React.createElement(window.GraphiQL, props), byId("graphiql"));
  }

  show();
  render();
})();
