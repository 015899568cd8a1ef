const oldest = { major: 3, minor: 4 };

/** What is wrong with the version of an etcd that is too old for us; null: it is not. */
export function tooOld(name: string, version: string): string | null {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number);
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return null;
  return `etcd at ${name} is version ${version}; expected ${oldest.major}.${oldest.minor} or later: upgrade it, one minor version at a time`;
}
