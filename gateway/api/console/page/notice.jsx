// What is wrong with the credentials, and how to get others: otherwise an expired token is a dead end.

import { useSyncExternalStore } from 'react';

import { expiresAt } from './credentials.js';

const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds

let problem = null;
let timer;
const listeners = new Set();

function tell(text) {
  problem = text;
  listeners.forEach((listener) => listener());
}

// Looks at the token now, and again when it expires. To be called whenever the headers change.
export function watchToken() {
  clearTimeout(timer);
  const moment = expiresAt();
  const left = moment - Date.now();
  if (left > 0) timer = setTimeout(watchToken, Math.min(left, LONGEST_TIMER));
  tell(left <= 0 ? `The token in the headers expired at ${new Date(moment).toLocaleString()}.` : null);
}

// The answer to every request comes by here.
export function heard(response) {
  if (response.status === 401 && problem === null) tell('The server does not take the token in the headers.');
  if (response.ok && problem !== null) watchToken();
}

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Notice() {
  const text = useSyncExternalStore(subscribe, () => problem);
  if (text === null) return null;
  return (
    <p className="notice" role="alert">
      <strong>{text}</strong> Run <code>gateway token --json</code> where the gateway runs and paste what it prints into
      “Headers”, or open the link that <code>gateway serve</code> prints when it starts. Tokens of another issuer come from there.
    </p>
  );
}
