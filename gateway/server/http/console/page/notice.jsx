// What is wrong with the token, and how to get another: otherwise an expired one is a dead end.

import { useSyncExternalStore } from 'react';

import { claims, token } from './credentials.js';

const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds
const OWN_ISSUER = 'profile-gateway';

let problem = null;
let timer;
const listeners = new Set();

function tell(text) {
  problem = text;
  listeners.forEach((listener) => listener());
}

// What this browser's clock says of the token: null while it is good, and where it does not tell when it ends.
function expired() {
  const moment = claims().exp * 1000; // milliseconds since 1970
  return moment <= Date.now() ? `The token in the headers expired at ${new Date(moment).toLocaleString()}.` : null;
}

// Looks at the token now, and again when it expires. To be called whenever the headers change.
export function watchToken() {
  clearTimeout(timer);
  const left = claims().exp * 1000 - Date.now();
  if (left > 0) timer = setTimeout(watchToken, Math.min(left, LONGEST_TIMER));
  tell(expired());
}

// The answer to every request comes by here. The server has the last word: its clock may differ from this one.
export async function heard(response) {
  if (response.ok && problem !== null) tell(null);
  if (response.status !== 401) return;
  const asked = token();
  const answer = await response.clone().text();
  if (asked !== token()) return; // others were put in its place
  const saysExpired = answer.includes('has expired') && 'The token in the headers has expired.';
  tell(expired() ?? (saysExpired || 'The server does not take the token in the headers.'));
}

// A computer that slept, or a browser that lets hidden pages rest, may be late with its timers.
addEventListener('visibilitychange', () => document.visibilityState === 'visible' && problem === null && watchToken());

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Notice() {
  const text = useSyncExternalStore(subscribe, () => problem);
  if (text === null) return null;
  return (
    <p className="notice" role="alert">
      <strong>{text}</strong> <WayOut issuer={claims().iss} />
    </p>
  );
}

function WayOut({ issuer }) {
  if (typeof issuer === 'string' && issuer !== OWN_ISSUER)
    return (
      <>
        It came from <code>{issuer}</code>: get a new one there, and put it in the place of the old one in “Headers”.
      </>
    );
  return (
    <>
      Run <code>gateway token --json</code> where the gateway runs and paste what it prints into “Headers”, or open the link that{' '}
      <code>gateway serve</code> prints when it starts.
      {issuer === OWN_ISSUER ? null : ' Tokens of another issuer come from there.'}
    </>
  );
}
