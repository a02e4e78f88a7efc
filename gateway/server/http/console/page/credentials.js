// The request headers, kept for as long as this browser tab lives: in session storage, never in local storage.

import { parseJSONC } from '@graphiql/react';

const STORED = 'profile-gateway:headers';

const HINT = `// Open the link that "gateway serve" prints, or paste here what this command prints:
// gateway token --json
{}
`;

function headersOf(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ''));
  if (!given.has('token')) return null;
  return {
    Authorization: `Bearer ${given.get('token')}`,
    'x-api-key': given.get('apiKey') ?? '',
    'x-gw-ims-org-id': given.get('org') ?? '',
    'x-sandbox-name': given.get('sandbox') ?? 'prod',
  };
}

// Takes the credentials out of the address bar, so that no bookmark, history entry or screenshot holds them. Tells whether there were any.
export function takeFromAddress() {
  const headers = headersOf(location.hash);
  if (!headers) return false;
  sessionStorage.setItem(STORED, JSON.stringify(headers, null, 2));
  history.replaceState(history.state, '', location.pathname + location.search);
  return true;
}

export const storedHeaders = () => sessionStorage.getItem(STORED) ?? HINT;

// Read as GraphiQL reads its editors: with comments and trailing commas. No headers where it is half written.
function headersIn(text) {
  try {
    const read = parseJSONC(text);
    return typeof read === 'object' && read !== null && !Array.isArray(read) ? read : {};
  } catch {
    return {};
  }
}

export const parsedHeaders = () => headersIn(storedHeaders());

// Whether the text says what is kept, perhaps in another form.
export const saysTheSame = (text) => JSON.stringify(headersIn(text)) === JSON.stringify(parsedHeaders());

// Keeps the text; tells whether it says something else than before, and not something half written.
export function storeHeaders(text) {
  const isNew = !saysTheSame(text);
  sessionStorage.setItem(STORED, text);
  return isNew && Object.keys(parsedHeaders()).length > 0;
}

// The bearer token, however its header is spelt; an empty text where there is none.
export function token() {
  const [, value] = Object.entries(parsedHeaders()).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
  return String(value ?? '').replace(/^Bearer\b\s*/i, '');
}

// What the token claims; nothing where it cannot be read.
export function claims() {
  try {
    const payload = atob(token().split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, (byte) => byte.charCodeAt(0)))) ?? {};
  } catch {
    return {};
  }
}
