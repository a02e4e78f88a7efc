// The tabs of a first visit: examples/<set>/*.graphql in the order of their names, each with its variables beside it if it has any.

import { ask } from './api.js';

const queries = import.meta.glob('./examples/*/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('./examples/*/*.json', { query: '?raw', import: 'default', eager: true });

// Which set fits a sandbox: the first of which all the datasets are there.
const SETS = [
  { set: 'demo', datasets: ['Household demographics (CRM)', 'Purchases'] },
  { set: 'start', datasets: [] },
];

// What an example makes, by name. Where all of it is there, the example is left out.
const MADE_BY = {
  './examples/start/1-create-schemas.graphql': { schema: ['Customer', 'Visit'] },
  './examples/start/2-create-datasets.graphql': { dataset: ['Customers', 'Visits'] },
};

const NAMES = `query Names {
  schemas(first: 1000) { nodes { id title identities { path } } }
  datasets(first: 1000) { nodes { id name } }
}`;

// The ids of what the caller's sandbox holds, by kind and name, and the object under which the organization's own fields stand; null
// where it cannot be asked.
async function idsByName() {
  const data = await ask(NAMES);
  if (!data) return null;
  const paths = data.schemas.nodes.flatMap(({ identities }) => identities.map(({ path }) => path));
  return {
    schema: new Map(data.schemas.nodes.map(({ id, title }) => [title, id])),
    dataset: new Map(data.datasets.nodes.map(({ id, name }) => [name, id])),
    own: paths.find((path) => path.startsWith('_'))?.split('.')[0] ?? '_local',
  };
}

// The examples that work in the caller's sandbox as it is.
export async function examples() {
  const ids = (await idsByName()) ?? { schema: new Map(), dataset: new Map(), own: '_local' };
  const areThere = (kind, names) => names.every((name) => ids[kind].has(name));
  const { set } = SETS.find(({ datasets }) => areThere('dataset', datasets));
  const isMade = (path) => path in MADE_BY && Object.entries(MADE_BY[path]).every((made) => areThere(...made));
  return Object.keys(queries)
    .filter((path) => path.startsWith(`./examples/${set}/`) && !isMade(path))
    .sort()
    .map((path) => ({ query: queries[path], variables: variables[path.replace(/\.graphql$/, '.json')]?.replaceAll('_local', ids.own) }));
}

// GraphiQL brings back the tabs that were open. Those of another sandbox go as long as they are examples that nobody changed.
export function forgetExamples() {
  const known = new Set(Object.values(queries));
  const tabs = JSON.parse(sessionStorage.getItem('graphiql:tabState'))?.tabs ?? [];
  if (!tabs.every(({ query }) => known.has(query))) return;
  for (const name of ['tabState', 'query', 'variables']) sessionStorage.removeItem(`graphiql:${name}`);
}

const PLACEHOLDER = /^<id of the (schema|dataset) '(.+)'>$/;

// The variables with ids in the place of `<id of the dataset 'Customers'>`. Throws where the sandbox has nothing of that name.
export async function withIds(given) {
  const named = Object.entries(given ?? {}).filter(([, value]) => PLACEHOLDER.test(value));
  if (named.length === 0) return given;
  const ids = await idsByName();
  if (ids === null) return given; // the API says what is wrong
  const filled = named.map(([variable, value]) => {
    const [, kind, name] = PLACEHOLDER.exec(value);
    if (!ids[kind].has(name)) throw new Error(`There is no ${kind} '${name}' in this sandbox: run the tab that makes it first.`);
    return [variable, ids[kind].get(name)];
  });
  return { ...given, ...Object.fromEntries(filled) };
}
