// The fragment never leaves the browser: the address of the projection, and the token.
const given = new URLSearchParams(location.hash.slice(1));
const address = given.get('projection');
const show = (id, text) => { document.getElementById(id).textContent = text; };

async function ask() {
  try {
    const answer = await fetch(address, { headers: { authorization: `Bearer ${given.get('token')}` }, cache: 'no-cache' });
    const body = await answer.json();
    show('status', `${new Date().toLocaleTimeString()}: ${answer.status}, ${answer.headers.get('age')} s old`);
    show('projection', JSON.stringify(body, null, 2));
  } catch (error) {
    show('status', `${new Date().toLocaleTimeString()}: ${error}`);
  }
  setTimeout(ask, 1000);
}

show('edge', address);
ask();
