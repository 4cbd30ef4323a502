import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib', 'build', 'node_modules'] },
  {
    files: ['**/*.{ts,tsx}'],
    extends: [tseslint.configs.strict, tseslint.configs.stylistic],
    rules: {
      // interfaces of JupyterLab begin with I, and so do ours
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], prefix: ['I'] }
      ],
      '@typescript-eslint/no-namespace': 'off',
      curly: 'error',
      eqeqeq: 'error'
    }
  }
);
