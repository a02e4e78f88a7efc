// The tabs of a first visit: examples/<set>/*.graphql in the order of their names, each with its variables beside it if it has any.

import { ask } from './api.js';

const queries = import.meta.glob('./examples/*/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('./examples/*/*.json', { query: '?raw', import: 'default', eager: true });

const OF_THE_DEMO = ['Household demographics (CRM)', 'Purchases'];
const MADE_BY = { 'create-schema': ['schema', 'Customer'], 'create-dataset': ['dataset', 'Customers'] };

const NAMES = `query Names {
  schemas(first: 1000) { nodes { id title identities { path } } }
  datasets(first: 1000) { nodes { id name } }
}`;

// The ids of what the caller's sandbox holds, by kind and name, and the object under which the organization's own fields stand; of nothing
// where it cannot be asked.
async function idsByName() {
  const data = await ask(NAMES);
  const paths = data?.schemas.nodes.flatMap(({ identities }) => identities.map(({ path }) => path)) ?? [];
  return {
    schema: new Map(data?.schemas.nodes.map(({ id, title }) => [title, id])),
    dataset: new Map(data?.datasets.nodes.map(({ id, name }) => [name, id])),
    own: paths.find((path) => path.startsWith('_'))?.split('.')[0] ?? '_local',
  };
}

// The examples that work in the caller's sandbox: the demo's on the demo, elsewhere the first steps, without those that were taken.
export async function examples() {
  const ids = await idsByName();
  const set = OF_THE_DEMO.every((name) => ids.dataset.has(name)) ? 'demo' : 'start';
  return Object.keys(queries)
    .filter((path) => path.startsWith(`./examples/${set}/`))
    .filter((path) => {
      const [kind, name] = MADE_BY[path.replace(/.*\/\d-|\.graphql$/g, '')] ?? [];
      return kind === undefined || set === 'demo' || !ids[kind].has(name);
    })
    .sort()
    .map((path) => ({ query: queries[path], variables: variables[path.replace(/\.graphql$/, '.json')]?.replaceAll('_local', ids.own) }));
}

const PLACEHOLDER = /^<id of the (schema|dataset) '(.+)'>$/;

// The variables with ids in the place of `<id of the dataset 'Customers'>`; what has no such name stays, and the API says what is wrong.
export async function withIds(given) {
  if (!Object.values(given ?? {}).some((value) => PLACEHOLDER.test(value))) return given;
  const ids = await idsByName();
  const filled = Object.entries(given).map(([name, value]) => {
    const [, kind, called] = PLACEHOLDER.exec(value) ?? [];
    return [name, ids[kind]?.get(called) ?? value];
  });
  return Object.fromEntries(filled);
}
