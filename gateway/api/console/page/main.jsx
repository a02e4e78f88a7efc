import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './console.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { parsedHeaders, storedHeaders, storeHeaders, takeFromAddress } from './credentials.js';
import { examples } from './examples.js';

const endpoint = new URL('../graphql', location.href);
endpoint.hash = '';
endpoint.search = '';
const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

const send = createGraphiQLFetcher({
  url: endpoint.href,
  subscriptionUrl: socket.href, // the headers travel in the connection_init payload, under their own names
  enableIncrementalDelivery: false,
});

// GraphiQL asks for the schema before it has read its own headers editor, and just after a change of tabs it still names the operation
// of the tab before.
function fetcher(asked, options) {
  const named = asked.operationName && asked.query.includes(asked.operationName);
  const headers = Object.keys(options?.headers ?? {}).length > 0 ? options.headers : parsedHeaders();
  return send(named ? asked : { ...asked, operationName: undefined }, { ...options, headers });
}

const plugins = [HISTORY_PLUGIN, explorerPlugin()];

// Everything that GraphiQL remembers stays in this browser tab: queries and their history name people. Headers are ours to keep:
// GraphiQL stores none with its tabs, so a newer link reaches all of them.
function Console() {
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={sessionStorage}
      plugins={plugins}
      defaultTabs={examples}
      defaultHeaders={storedHeaders()}
      defaultEditorToolsVisibility="headers"
      onEditHeaders={storeHeaders}
      showPersistHeadersSettings={false}
      schemaDescription
      inputValueDeprecation
    />
  );
}

// A second link pasted into the same tab only changes the fragment: the page starts again with the new headers.
addEventListener('hashchange', () => takeFromAddress() && location.reload());

takeFromAddress();
createRoot(document.getElementById('console')).render(<Console />);
