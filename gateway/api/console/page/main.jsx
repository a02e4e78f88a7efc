import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './console.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { useGraphiQLActions } from '@graphiql/react';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';

import { endpoint } from './api.js';
import { parsedHeaders, storedHeaders, storeHeaders, takeFromAddress } from './credentials.js';
import { examples, withIds } from './examples.js';
import { heard, Notice, watchToken } from './notice.jsx';

const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

const send = createGraphiQLFetcher({
  url: endpoint.href,
  subscriptionUrl: socket.href, // the headers travel in the connection_init payload, under their own names
  enableIncrementalDelivery: false,
  fetch: async (...request) => {
    const response = await fetch(...request);
    heard(response);
    if (response.ok && /\bmutation\b.*Schema\b/s.test(JSON.parse(request[1].body).query)) schemaChanged();
    return response;
  },
});

// GraphiQL asks for the schema before it has read its own headers editor, and just after a change of tabs it still names the operation
// of the tab before.
async function fetcher(asked, options) {
  const named = asked.operationName && asked.query.includes(asked.operationName);
  const headers = Object.keys(options?.headers ?? {}).length > 0 ? options.headers : parsedHeaders();
  const variables = await withIds(asked.variables);
  return send({ ...asked, variables, operationName: named ? asked.operationName : undefined }, { ...options, headers });
}

// Set by the component below; each sandbox has a schema of its own, and a registered XDM schema changes it.
let schemaChanged = () => {};

function SchemaFollower() {
  const { introspect } = useGraphiQLActions();
  useEffect(() => {
    schemaChanged = introspect;
  }, [introspect]);
  return null;
}

function headersEdited(text) {
  if (!storeHeaders(text)) return;
  watchToken();
  schemaChanged();
}

const plugins = [HISTORY_PLUGIN, explorerPlugin()];

// Everything that GraphiQL remembers stays in this browser tab: queries and their history name people. Headers are ours to keep:
// GraphiQL stores none with its tabs, so a newer link reaches all of them. They are shown only where they have to be written.
function Console({ tabs }) {
  return (
    <>
      <Notice />
      <GraphiQL
        fetcher={fetcher}
        storage={sessionStorage}
        plugins={plugins}
        defaultTabs={tabs}
        defaultHeaders={storedHeaders()}
        defaultEditorToolsVisibility={parsedHeaders().Authorization ? 'variables' : 'headers'}
        onEditHeaders={headersEdited}
        showPersistHeadersSettings={false}
        schemaDescription
        inputValueDeprecation
      >
        <SchemaFollower />
      </GraphiQL>
    </>
  );
}

// A second link pasted into the same tab only changes the fragment: the page starts again with the new headers.
addEventListener('hashchange', () => takeFromAddress() && location.reload());

takeFromAddress();
watchToken();
const tabs = await examples();
createRoot(document.getElementById('console')).render(<Console tabs={tabs} />);
