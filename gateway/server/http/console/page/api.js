// Where the API is, and questions of the page itself.

import { parsedHeaders, token } from './credentials.js';

const PATIENCE = 5000; // milliseconds: without an answer the page opens, too

export const endpoint = new URL('../graphql', location.href);
endpoint.hash = '';
endpoint.search = '';

// The data that a query answers to the page's own headers; null where there is no token, or no answer.
export async function ask(query) {
  if (token() === '') return null;
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { ...parsedHeaders(), 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
      signal: AbortSignal.timeout(PATIENCE),
    });
    return (await response.json()).data ?? null;
  } catch {
    return null; // what is wrong shows when the first query is run
  }
}
