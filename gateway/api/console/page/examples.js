// The tabs of a first visit: examples/*.graphql in the order of their names, each with its variables beside it if it has any.

const queries = import.meta.glob('./examples/*.graphql', { query: '?raw', import: 'default', eager: true });
const variables = import.meta.glob('./examples/*.json', { query: '?raw', import: 'default', eager: true });

export const examples = Object.keys(queries)
  .sort()
  .map((path) => ({ query: queries[path], variables: variables[path.replace(/\.graphql$/, '.json')] }));
