import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './console.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';

import { endpoint } from './api.js';
import { parsedHeaders, saysTheSame, storedHeaders, storeHeaders, takeFromAddress, token } from './credentials.js';
import { examples, forgetExamples, withIds } from './examples.js';
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

// The headers are the page's, whatever GraphiQL has in its editor: it asks for the schema before it has read it. Just after a change of tabs
// it still names the operation of the tab before.
async function fetcher(asked, options) {
  const named = asked.operationName && asked.query.includes(asked.operationName);
  const variables = await withIds(asked.variables);
  return send({ ...asked, variables, operationName: named ? asked.operationName : undefined }, { ...options, headers: parsedHeaders() });
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

// One set of headers for all tabs. GraphiQL puts those of a tab, or of an item of the history, into the editor as a whole: only what
// somebody writes there counts, else an older token would come back.
function HeadersKeeper() {
  const editor = useGraphiQL((state) => state.headerEditor);
  useEffect(() => {
    const keep = () => saysTheSame(editor.getValue()) || editor.setValue(storedHeaders());
    const changed = ({ isFlush }) => (isFlush ? queueMicrotask(keep) : headersEdited(editor.getValue()));
    const listening = editor?.onDidChangeModelContent(changed);
    return () => listening?.dispose();
  }, [editor]);
  return null;
}

// Long lines are folded instead of hidden, but for headers: a token would fill the pane. Where there is little room, none is spent on numbers.
function EditorLayout() {
  const query = useGraphiQL((state) => state.queryEditor);
  const variables = useGraphiQL((state) => state.variableEditor);
  const headers = useGraphiQL((state) => state.headerEditor);
  useEffect(() => {
    const follow = ({ matches }) => {
      const layout = { lineNumbers: matches ? 'off' : 'on', folding: !matches };
      [query, variables].forEach((editor) => editor?.updateOptions({ ...layout, wordWrap: 'on' }));
      headers?.updateOptions(layout);
    };
    const narrow = matchMedia('(max-width: 600px)');
    follow(narrow);
    narrow.addEventListener('change', follow);
    return () => narrow.removeEventListener('change', follow);
  }, [query, variables, headers]);
  return null;
}

const plugins = [HISTORY_PLUGIN, explorerPlugin()];

// Everything that GraphiQL remembers stays in this browser tab: queries and their history name people. The headers are shown only to whoever
// asks for them, and where they have to be written.
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
        defaultEditorToolsVisibility={token() === '' ? 'headers' : 'variables'}
        showPersistHeadersSettings={false}
        schemaDescription
        inputValueDeprecation
      >
        <GraphiQL.Logo>
          <a className="graphiql-logo-link" href="../docs" target="_blank" rel="noreferrer">
            Documents
          </a>
        </GraphiQL.Logo>
        <SchemaFollower />
        <HeadersKeeper />
        <EditorLayout />
      </GraphiQL>
    </>
  );
}

// A second link pasted into the same tab only changes the fragment: the page starts again with the new headers. The examples of the former
// sandbox are forgotten last of all, since GraphiQL stores its tabs a moment after they have changed.
addEventListener('hashchange', () => {
  if (!takeFromAddress()) return;
  addEventListener('pagehide', forgetExamples);
  location.reload();
});

if (takeFromAddress()) forgetExamples();
watchToken();
const tabs = await examples();
createRoot(document.getElementById('console')).render(<Console tabs={tabs} />);
