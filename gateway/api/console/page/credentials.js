// The request headers, kept for as long as this browser tab lives: in session storage, never in local storage.

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

// Takes the credentials out of the address bar, so that no bookmark, history entry or screenshot holds them.
export function takeFromAddress() {
  const headers = headersOf(location.hash);
  if (!headers) return false;
  sessionStorage.setItem(STORED, JSON.stringify(headers, null, 2));
  history.replaceState(history.state, '', location.pathname + location.search);
  return true;
}

export const storedHeaders = () => sessionStorage.getItem(STORED) ?? HINT;

export function parsedHeaders() {
  try {
    return JSON.parse(storedHeaders());
  } catch {
    return {}; // the hint, or something half written
  }
}

// Keeps them; whether they say something else than before, and not something half written.
export function storeHeaders(text) {
  const before = JSON.stringify(parsedHeaders());
  sessionStorage.setItem(STORED, text);
  const now = parsedHeaders();
  return Object.keys(now).length > 0 && JSON.stringify(now) !== before;
}

// When the token expires, in milliseconds since 1970; NaN where that cannot be read.
export function expiresAt() {
  try {
    const payload = parsedHeaders().Authorization.split('.')[1];
    return JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))).exp * 1000;
  } catch {
    return NaN;
  }
}
