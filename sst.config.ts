/// <reference path="./.sst/platform/config.d.ts" />

export default $config({
  app(input) {
    const isProduction = input.stage === 'production';
    return {
      name: 'cronfleet',
      home: 'aws',
      removal: isProduction ? 'retain' : 'remove',
      protect: isProduction && process.env.CRONFLEET_PROTECT !== 'no',
      providers: { aws: { version: '7.20.0' }, random: '4.16.6', mongodbatlas: '4.16.0' },
    };
  },
  async run() {
    const { deploy } = await import('./infra/aws/deploy.ts');
    return deploy(process.env);
  },
});
